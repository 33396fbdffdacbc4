"""`pocketsr report`: one HTML page that shows what a package is worth."""
