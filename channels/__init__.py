"""One module or package here is one channel; it knows core alone, and core loads it by name."""
