const page = document.getElementById("pw-refreshed");
setTimeout(() => location.reload(), 1000 * Number(page.dataset.seconds));
