"""The web app: pages for the browser and the phone, on this machine or, with a token, on the local network."""
