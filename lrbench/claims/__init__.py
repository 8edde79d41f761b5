"""What people say about schedulers, seeds and flags, as statements that a program tests. Rows in results/claims/.

A claim is a function that reads like its statement and returns a verdict in five words, with its evidence as rows. A
claim never fails the command; a *gate* does. Importing this loads neither torch nor pandas.
"""
