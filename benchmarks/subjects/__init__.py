"""The subjects: svcready and its peers, each set up as its documentation says."""
