"""How finished spans leave the process: queues, and exporters that drain them."""
