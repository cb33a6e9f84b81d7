"""Google Batch engine and set-up of Google Cloud."""
