"""One module or package a feature; each is a plugin, knows no other, and speaks to core by its hooks."""
