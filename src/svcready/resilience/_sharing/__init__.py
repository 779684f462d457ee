"""What the processes of one service share by Redis, none of them waiting for it."""
