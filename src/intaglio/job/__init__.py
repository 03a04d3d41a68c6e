"""The main job: from a captured network to a checked result, by a recipe or a search for one."""
