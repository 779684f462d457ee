"""What bounds calls in time."""
