"""A Redis server asked by us: within a bound that holds whatever the server does."""
