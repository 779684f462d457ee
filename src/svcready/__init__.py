"""One call makes a Python microservice production-ready."""
