const progress = document.getElementById("pw-progress");
setTimeout(() => progress.submit(), 1000 * Number(progress.dataset.pause));
