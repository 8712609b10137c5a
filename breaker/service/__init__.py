"""What is served over HTTP: `app` puts the routes together, `command` runs them."""
