"""The second house: tests mirror the rooms of `app/`, journeys walk through all of them."""
