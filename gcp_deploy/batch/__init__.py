"""Jobs on Google Batch: the request, the service, the rounds of a job."""
