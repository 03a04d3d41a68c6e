"""What a run is asked for: recipes, options, and the settings that both are settled into."""
