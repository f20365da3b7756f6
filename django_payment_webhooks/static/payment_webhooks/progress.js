document.getElementById("pw-progress").submit();
