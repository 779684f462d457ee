"""How the metrics of a service's many processes are shown as one."""
