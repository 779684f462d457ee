"""A second attempt beside a slow first one."""
