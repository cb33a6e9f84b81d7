"""The fused image pipeline, from the bucket to the bucket."""
