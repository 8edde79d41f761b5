"""`lrbench plan STUDY`: what a study will take, and what it will be able to see, before anything trains."""
