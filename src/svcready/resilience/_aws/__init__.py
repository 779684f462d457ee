"""AWS: what its errors mean, and policies around botocore's calls."""
