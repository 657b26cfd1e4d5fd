"""Configuration: settings of an app and options of its tasks, from code, environment and files."""
