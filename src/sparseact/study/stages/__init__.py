"""What each stage does to the trials of one cell: ``run`` gives the variables of its dataset."""
