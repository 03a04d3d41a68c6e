"""From a saved .pt2 program to a graph; the file is a stranger's, and none of it is trusted."""
