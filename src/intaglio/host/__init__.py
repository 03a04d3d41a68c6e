"""What the operating system gives: folders that appear whole, checksums, places for results."""
