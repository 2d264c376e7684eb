"""The story, one file per chapter, in the order of the days; each speaks through the stage and nothing else."""
