"""Which known kind of detector a module is: its post-processing, read off and proved."""
