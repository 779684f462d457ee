"""Ready-made checks: of databases, brokers, AWS, the network and the machine."""
