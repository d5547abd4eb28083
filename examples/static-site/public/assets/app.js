document.querySelector("h1").append(`: this is ${location.pathname}`);
