import type { Bus, OriginalTopics } from './bus/index.ts';
import type { Cameras } from './cameras.ts';
import type { DetectionSettings, Settings } from './contract/settings.ts';
import type { DetectDesk } from './detect-desk.ts';
import type { GpioDesk } from './gpio-desk.ts';
import type { Slot } from './kernel/slot.ts';
import type { BotDesk } from './notify-desk.ts';
import type { Notify } from './notify/index.ts';
import type { ChangePlan } from './settings/index.ts';
import type { StorageDesk } from './storage-desk.ts';
import type { UploadDesk } from './upload-desk.ts';

export interface ChangeableParts {
  readonly detector: Slot<DetectionSettings, DetectDesk>;
  readonly cameras: Cameras;
  readonly storage: StorageDesk;
  readonly original: OriginalTopics;
  readonly notify: Notify;
  readonly chat: BotDesk;
  readonly uploads: UploadDesk;
  readonly gpio: GpioDesk;
  readonly broker: Bus;
  /** Who takes from the outbox may be others now. */
  readonly tellConsumers: () => void;
}

/** Step by step: what fails names the change that is to be taken back. */
export async function applyChange(
  parts: ChangeableParts,
  { steps }: ChangePlan,
  now: Settings,
): Promise<void> {
  const { broker, cameras, chat, detector, gpio, notify, original, storage, tellConsumers, uploads } = parts;
  for (const step of steps) {
    if (step.kind === 'service') {
      if (step.service === 'detector') await detector.restart(now.detection);
      if (step.service === 'outputs') {
        original.setRateLimit(now.outputs.rateLimit);
        await notify.configure(now.outputs.notify);
        await chat.configure(now.outputs.notify.bot);
      }
      if (step.service === 'gpio') await gpio.configure(now.gpio);
      if (step.service === 'uploads') {
        await uploads.restart(now.remote);
        tellConsumers();
      }
      continue;
    }
    const { cameraId, action } = step;
    const camera = now.cameras.find((each) => each.cameraId === cameraId);
    if (action === 'stop' || !camera) await cameras.remove(cameraId);
    if (!camera) broker.forget<'status.camera.*'>(`status.camera.${cameraId}`);
    else if (action === 'start') cameras.add(camera);
    else if (action === 'restart') await cameras.slot(cameraId).restart(camera);
    else if (camera.enabled) cameras.slot(cameraId).adjust(camera);
  }
  // Retention goes by camera.
  storage.configure(now);
}
