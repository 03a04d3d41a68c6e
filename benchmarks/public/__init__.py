"""Networks that other people have published, as their packages define them, through `compress`."""
