"""What HTTP's answers and errors mean to policies, whichever client they are of."""
