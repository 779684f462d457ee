"""What every pillar stands on; stdlib only, and no pillar's noun in it."""
