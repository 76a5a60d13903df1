"""One a cluster: takes what agents report, finds what is wrong, and keeps incidents."""
