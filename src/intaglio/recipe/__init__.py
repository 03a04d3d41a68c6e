"""What a run is asked for: recipes, options, and the settings that both are settled into."""

from intaglio.recipe import built_in

__all__ = ["built_in"]
