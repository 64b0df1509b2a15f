// What pages gain by a script. Without it, all of them work.
'use strict';

document.documentElement.classList.add('js');

// Copy buttons.
document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'Not allowed';
  }
  setTimeout(() => { button.textContent = 'Copy'; }, 1500);
});

// Words while something takes long.
document.addEventListener('submit', (event) => {
  const form = event.target;
  const button = form.querySelector('button:not([type=button])');
  if (form.dataset.busy && button) {
    button.textContent = form.dataset.busy;
    setTimeout(() => { button.disabled = true; });
  }
});

// give puts a file into the input of a form, as if it had been chosen there.
function give(input, file) {
  const transfer = new DataTransfer();
  transfer.items.add(file);
  input.files = transfer.files;
}

// acceptDrops lets files be dropped on an element.
function acceptDrops(element, take) {
  element.addEventListener('dragover', (event) => {
    event.preventDefault();
    element.classList.add('over');
  });
  element.addEventListener('dragleave', () => element.classList.remove('over'));
  element.addEventListener('drop', (event) => {
    event.preventDefault();
    element.classList.remove('over');
    take([...event.dataTransfer.files]);
  });
}

for (const form of document.querySelectorAll('form[data-drop]')) {
  acceptDrops(form, (files) => {
    if (files.length === 0) return;
    give(form.querySelector('input[type=file]'), files[0]);
    form.requestSubmit();
  });
}

// The files of a staging directory go where their names say.
async function sort(form, files) {
  for (const file of files) {
    const input = form.querySelector(`[data-file="${CSS.escape(file.name)}"]`);
    if (input) give(input, file);
    if (file.name === 'kernel-params.txt' && file.size < 4096) {
      form.elements.cmdline.value = (await file.text()).trimEnd();
    }
    if (file.name === 'conversion.json' && file.size < 4194304) {
      try {
        const conversion = JSON.parse(await file.text());
        if (form.elements.image_id.type !== 'hidden') form.elements.image_id.value = conversion.image_id;
        form.elements.findings.value = JSON.stringify((conversion.findings ?? []).filter((finding) => !finding.mended));
      } catch {
        say({ title: 'conversion.json cannot be read.' });
      }
    }
  }
}

for (const area of document.querySelectorAll('[data-drop-staging]')) {
  const form = area.closest('form');
  const input = area.querySelector('input');
  acceptDrops(area, (files) => sort(form, files));
  input.addEventListener('change', async () => {
    await sort(form, input.files);
    input.value = '';
  });
}

// say shows a problem where the service shows those of a page.
function say(problem) {
  const box = document.getElementById('problem');
  const alert = document.createElement('div');
  alert.className = 'alert';
  const text = document.createElement('p');
  const title = document.createElement('strong');
  title.textContent = problem.title;
  text.append(title, ' ', problem.detail ?? '');
  alert.append(text);
  if (problem.request_id) {
    const id = document.createElement('p');
    id.className = 'small';
    id.textContent = `Request ${problem.request_id}`;
    alert.append(id);
  }
  box.replaceChildren(alert);
  box.scrollIntoView({ block: 'center' });
}

// Uploads show how far they are.
for (const form of document.querySelectorAll('form[data-upload]')) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const button = form.querySelector('.submit button');
    const label = form.querySelector('.progress');
    const bar = label.querySelector('progress');
    const words = label.querySelector('[data-progress-text]');
    const request = new XMLHttpRequest();
    const finish = (problem) => {
      button.disabled = false;
      label.hidden = true;
      say(problem);
    };
    request.upload.addEventListener('progress', (progress) => {
      const percent = Math.floor((progress.loaded / progress.total) * 100);
      bar.value = percent;
      words.textContent = percent < 100 ? `Uploading, ${percent} %` : 'Measuring and signing';
    });
    request.addEventListener('load', () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        answer = { title: 'The service did not answer as it should.' };
      }
      if (request.status === 200 && answer.location) location.assign(answer.location);
      else finish(answer);
    });
    request.addEventListener('error', () => finish({ title: 'The connection to the service was lost.', detail: 'Nothing of the registration is kept.' }));
    request.open('POST', form.action);
    request.setRequestHeader('Accept', 'application/json');
    button.disabled = true;
    label.hidden = false;
    bar.value = 0;
    words.textContent = 'Uploading';
    request.send(new FormData(form));
  });
}
