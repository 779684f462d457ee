"""AWS X-Ray: spans as segment documents, and code that uses its SDK."""
