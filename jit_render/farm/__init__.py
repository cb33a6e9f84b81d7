"""A job's life: submit, engines, worker, records in the bucket."""
