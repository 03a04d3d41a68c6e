"""What flows from step to step, the table of steps, and the walk that feeds them."""
