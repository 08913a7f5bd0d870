"""One module per platform: `SOURCE`, its declaration."""
