"""Dense conditional random fields: a segmenter's map, drawn to the edges of the picture."""
