function refreshAfter(seconds) {
  setTimeout(() => location.reload(), 1000 * seconds);
}
refreshAfter(Number(document.getElementById("pw-refreshed").dataset.seconds));
