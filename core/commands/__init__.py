"""The commands that core brings, one module a subject; `core.cli` puts them together."""
