"""The encode job: from a film to a package, one resumable step after the other."""
