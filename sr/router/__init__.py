"""Routes by content, for video that has no route map: attentive deep metric learning."""
