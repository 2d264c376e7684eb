"""`custody bench`: what the service takes, beside what the machine could, in one run."""
